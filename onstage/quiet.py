"""TensorFlow's import without its greetings."""

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator

from onstage.errors import is_user_error


@contextlib.contextmanager
def quiet_import() -> Iterator[None]:
    """Import TensorFlow without its greetings on stderr, which no setting silences; an error shows them all."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    sys.stderr.flush()
    stderr = os.dup(2)
    with tempfile.TemporaryFile() as said:
        os.dup2(said.fileno(), 2)
        try:
            yield
        except BaseException as error:
            if not is_user_error(error):
                said.seek(0)
                os.write(stderr, said.read())
            raise
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)
