"""Small things every room needs: clock, framing, quantities, logging set-up."""
