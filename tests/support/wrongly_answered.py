"""Studies through a DICOMweb server that answers wrongly, while `cxr watch` is killed."""

import sqlite3
from contextlib import closing
from pathlib import Path

from tests.support.dicom_films import PATIENT, chest_film
from tests.support.fake_dicomweb import WRONG, FakeDicomweb
from tests.support.pacs import send
from tests.support.running_watch import watching
from tests.support.waiting import wait_until

NAMES = [PATIENT.encode(), b"19500102", b"Roe^Richard"]


def wrongly_answered(folder: Path, model: Path, *, studies: int, kills: int) -> dict[str, int]:
    """Send films, let one answer in three be wrong in every way in turn, and count what arrives.

    Returns:
        objects, how many arrived; lost, how many did not; sent_again, how many came a second time
        though the server had said that they are stored, beyond one for each kill; readable_names,
        how many of the patient's are in the journal's folder at the end.
    """
    films = [chest_film(number=number) for number in range(studies)]
    with FakeDicomweb(tuple(WRONG.values())).running() as server:
        for part in range(kills + 1):
            with watching(folder, model, "--listen", "0", "--stow", server.url) as watch:
                watch.wait_until_it_listens()
                before, share = server.stored.total(), films[part :: kills + 1]
                assert send(watch.port, share) == [0] * len(share)
                wait_until(lambda before=before: server.stored.total() > before)
                if part == kills:
                    wait_until(lambda: _waiting(folder / "journal.sqlite") == 0)
                    assert watch.stop() == 0
    left = b"".join(file.read_bytes() for file in folder.iterdir() if file.is_file())
    return {
        "objects": len(server.stored),
        "lost": 3 * studies - len(server.stored),
        "sent_again": max(0, server.stored.total() - len(server.stored) - kills),
        "readable_names": sum(name in left for name in NAMES),
    }


def _waiting(journal: Path) -> int:
    count = "SELECT (SELECT count(*) FROM films WHERE state != 'answered') + count(*) FROM objects"
    with closing(sqlite3.connect(f"{journal.as_uri()}?mode=ro", uri=True)) as database:
        return database.execute(count).fetchone()[0]
