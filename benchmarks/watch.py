"""Send studies through `cxr watch` while it is killed and its destination answers wrongly.

    PYTHONPATH=. python benchmarks/watch.py [--studies 50] [--kills 20]

One answer in three of the DICOMweb server is wrong, in each way of `tests/support/fake_dicomweb.py`
in turn, and the process is ended by SIGKILL while it sends. The exit status is 1 if an object was
lost or came twice, or if the patient's name can be read in the journal's folder at the end.
"""

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

from tests.support.tiny_model import write_model
from tests.support.wrongly_answered import wrongly_answered


def main() -> int:
    """Print what arrived; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", type=int, default=50)
    parser.add_argument("--kills", type=int, default=20)
    given = parser.parse_args()
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "journal"
        folder.mkdir()
        model = write_model(Path(name))
        told = wrongly_answered(folder, model, studies=given.studies, kills=given.kills)
    print(json.dumps(vars(given) | told | {"seconds": round(time.monotonic() - began)}))
    return 1 if told["lost"] or told["sent_again"] or told["readable_names"] else 0


if __name__ == "__main__":
    sys.exit(main())
