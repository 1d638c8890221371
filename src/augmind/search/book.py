"""Where studies are kept: the one that a search works with in memory, the book of it in the run folder, the storage that runs share."""

import contextlib
import os
import time
import warnings
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from augmind.job import Job

if TYPE_CHECKING:
    import optuna

FILE = "study.db"
PATIENCE = 10
"""Attempts, half a second apart, at a storage whose tables another run is making."""


def working_study(name: str) -> "optuna.Study":
    """A fresh study in memory: a search is replayed from its first trial, so it needs no other memory."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    with quiet():
        pruner = optuna.pruners.SuccessiveHalvingPruner(min_resource=1, reduction_factor=2)
        return optuna.create_study(study_name=name, pruner=pruner, direction="maximize")


def book_of(job: Job, name: str) -> "optuna.Study":
    """A fresh study in RUN/study.db, for dashboards."""
    import optuna
    from sqlalchemy import event

    with quiet():
        storage = optuna.storages.RDBStorage(f"sqlite:///{job.folder / FILE}")
        event.listen(storage.engine, "connect", lambda connection, _: connection.execute("pragma synchronous=off"))
        if name in optuna.get_all_study_names(storage):
            optuna.delete_study(study_name=name, storage=storage)
        return optuna.create_study(study_name=name, storage=storage, direction="maximize")


def written(book: "optuna.Study", study: "optuna.Study", ended: Sequence["optuna.trial.Trial"]) -> None:
    """Writes trials that have ended into the book, one transaction each."""
    trials = study.get_trials(deepcopy=False)
    book.add_trials([trials[trial.number] for trial in ended])


def shared(url: str, **options: Any) -> "optuna.storages.RDBStorage":
    """The storage behind a database URL, in which `$NAME` stands for a variable of the environment.

    Raises `sqlalchemy.exc.SQLAlchemyError` where it cannot be opened, after a while if another run makes its tables just now.
    """
    import optuna
    from sqlalchemy.exc import IntegrityError, OperationalError, ProgrammingError

    for _ in range(PATIENCE):
        try:
            return optuna.storages.RDBStorage(os.path.expandvars(url), **options)
        except (IntegrityError, OperationalError, ProgrammingError) as error:
            if not any(word in str(error) for word in ("exists", "locked", "UNIQUE", "unique")):
                raise
            time.sleep(0.5)
    return optuna.storages.RDBStorage(os.path.expandvars(url), **options)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Optuna warns that parts of it are young; nothing that a person could act on."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
