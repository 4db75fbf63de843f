"""One frozen tree of settings and the only code that reads them."""
