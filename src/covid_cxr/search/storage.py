"""A relational store of studies, which processes and machines share."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import optuna
import sqlalchemy
from optuna.exceptions import ExperimentalWarning
from optuna.storages import RDBStorage, RetryHeartbeatStaleTrialCallback

from covid_cxr.errors import InputError

MAX_RETRIES = 2
_SILENCE = 6  # heartbeats without a sign of life, after which a worker is taken for dead


@contextmanager
def quiet() -> Iterator[None]:
    """Silence Optuna's log, and its warnings that heartbeat and TPE's groups are experimental."""
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        with warnings.catch_warnings():
            for name in ("heartbeat_interval", "multivariate", "group", "constant_liar"):
                warnings.filterwarnings(
                    "ignore", f"Argument ``{name}`` is an experimental", ExperimentalWarning
                )
            for name in ("RetryHeartbeatStaleTrialCallback", "fail_stale_trials"):
                warnings.filterwarnings("ignore", f".*{name} is experimental", ExperimentalWarning)
            yield
    finally:
        optuna.logging.set_verbosity(verbosity)


def open_storage(url: str, heartbeat: int) -> RDBStorage:
    """Open or create the tables of a relational store.

    Args:
        url: of SQLAlchemy; PostgreSQL is reached by psycopg.
        heartbeat: seconds between signs of life of a running trial.

    Raises:
        InputError: it cannot be reached; a password in the URL is not repeated.
    """
    try:
        parsed = sqlalchemy.engine.make_url(url)
        if parsed.drivername in ("postgres", "postgresql"):
            parsed = parsed.set(drivername="postgresql+psycopg")
        options: dict[str, Any] = {"pool_pre_ping": True}
        if parsed.drivername.startswith("sqlite"):
            options["connect_args"] = {"timeout": 60}  # seconds to wait for another process
        with quiet():
            return RDBStorage(
                parsed.render_as_string(hide_password=False),
                engine_kwargs=options,
                heartbeat_interval=heartbeat,
                grace_period=_SILENCE * heartbeat,
                heartbeat_stale_trial_callback=RetryHeartbeatStaleTrialCallback(MAX_RETRIES),
            )
    except (sqlalchemy.exc.SQLAlchemyError, ImportError) as error:
        reason = str(getattr(error, "orig", None) or error).splitlines()[0]
        raise InputError(
            f"--storage cannot be used: {reason}; expected a reachable database such as "
            "sqlite:////folder/study.sqlite or postgresql://user@host/name"
        ) from error
