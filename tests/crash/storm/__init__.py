"""The real thing: a pipeline whose processes, engines and databases are killed at random until it has finished.

`make storm ROUNDS=20 DATABASE=sqlite|postgres SIZE=2000 SEED=1`. Every task notes that it is executed, every parent
what it was told, and a client outside what it was told, in one file that is synced at each line: its order is the
order in which things happened. Then the lines are counted.
"""
