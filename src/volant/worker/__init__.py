"""The program that runs user code: zygotes, forks, sessions."""
