"""Whoever looks after the database that the settings name."""

from volant.ports.maintenance import Maintenance
from volant.settings.tree import Settings
from volant.wiring.journals import missing_postgres
from volant.wiring.stores import is_shared, journal_file


def maintenance_of(settings: Settings) -> Maintenance:
    """The maintenance of the journal.

    Raises:
        NotSupportedError: a package is missing, or there is no adapter for the URL.
    """
    if not is_shared(settings):
        from volant.journal.sqlite.maintaining import SqliteMaintenance

        return SqliteMaintenance(journal_file(settings))
    try:
        from volant.journal.postgres.maintaining import PostgresMaintenance
    except ImportError as error:
        raise missing_postgres(error) from error
    return PostgresMaintenance(settings.database or "")
