"""A simulation of engines, workers, clients and their store on a virtual clock; see `world.py`."""
