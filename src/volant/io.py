"""Files, directories and frames that travel by reference. They work in tasks, outside of runs, and without `init`."""

from volant.api.storing import open_current_store
from volant.values.asyncfiles import AsyncFile
from volant.values.dataframes import DataFrame
from volant.values.directories import Dir
from volant.values.files import File
from volant.values.hashing import HashFunction
from volant.values.stored import STORES

__all__ = ["AsyncFile", "DataFrame", "Dir", "File", "HashFunction"]

STORES.current = open_current_store
