"""`python -m volant` is the command `volant`."""

from volant.cli.main import main

if __name__ == "__main__":
    main()
