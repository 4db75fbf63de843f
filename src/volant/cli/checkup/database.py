"""The journal's database: whether it can be reached, and whether this release can use it."""

from volant.cli.checkup.findings import Finding, Verdict
from volant.client.driving import drive
from volant.model.errors import VolantError
from volant.settings.tree import Settings
from volant.wiring.maintaining import maintenance_of
from volant.wiring.stores import journal_place

_GROUP = "home"


def check_database(settings: Settings | None) -> list[Finding]:
    """One finding; none where the settings that would name it cannot be read. It waits a few seconds for a server."""
    if settings is None:
        return []
    try:
        place = journal_place(settings)
        looked = drive(maintenance_of(settings).look, name="volant doctor")
    except VolantError as error:
        return [Finding(_GROUP, "journal", Verdict.PROBLEM, str(error), error.hint or "nothing can be run without it")]
    found = f"{place}, {looked.server}, schema version {looked.version}"
    if looked.version == 0:
        return [Finding(_GROUP, "journal", Verdict.OK, f"{place}, {looked.server}, made by the first run")]
    if looked.version < looked.wanted:
        follows = f"`volant db upgrade` brings it to version {looked.wanted}, once no older release uses it"
        return [Finding(_GROUP, "journal", Verdict.PROBLEM, found, follows)]
    if looked.version > looked.wanted:
        follows = f"this release knows versions up to {looked.wanted}: use the newer one that wrote it, or another home"
        return [Finding(_GROUP, "journal", Verdict.PROBLEM, found, follows)]
    return [Finding(_GROUP, "journal", Verdict.OK, found)]
