"""Measure Volant beside its peers: `make bench`, `make bench ONLY=P2,P8 REPS=3`.

A figure alone says more about the machine than about the program. So each workload runs ours and its peers in turn, in
one sitting, several times over; what is reported are medians and the ratio of the two. Peers live in virtual
environments of their own (`.venvs/<peer>`), ours is the one that runs this package. Nothing here gates a test.
"""
