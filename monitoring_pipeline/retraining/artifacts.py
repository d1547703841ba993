"""Artifacts: a fitted model as one file, written once under the digest of its bytes, opened only if they are those.

Format ``skops`` holds scikit-learn's objects as data: loading builds only the types of a constant list and runs no code
of the file. Format ``pickle`` runs code when it is loaded; it is written and read only where the declaration says
``retrain.training.trust_pickle: true``.
"""

from __future__ import annotations

import hashlib
import io
import os
import uuid
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import fsspec

from monitoring_pipeline.errors import RetrainError, UserError
from monitoring_pipeline.lake.duck import protocol_of
from monitoring_pipeline.lake.store import join, make_directory
from monitoring_pipeline.retraining.context import RetrainContext
from monitoring_pipeline.retraining.model import Model
from monitoring_pipeline.settings import Settings

if TYPE_CHECKING:
    from monitoring_pipeline.warehouse.model_versions import ArtifactFormat, ModelVersion

# Types within scikit-learn's estimators that skops does not trust by itself. None of them runs code of the file.
# Constant: what a file asks for must never decide what is trusted.
TRUSTED = (
    "functools.partial",  # of a function that is trusted itself: the first step of boosting over categories
    "numpy.dtype",
    "sklearn._loss.loss.HalfTweedieLossIdentity",
    "sklearn.calibration._CalibratedClassifier",
    "sklearn.calibration._SigmoidCalibration",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    "sklearn.metrics._dist_metrics.EuclideanDistance64",
    "sklearn.neighbors._ball_tree.BallTree",
    "sklearn.neighbors._kd_tree.KDTree",
    "sklearn.neural_network._stochastic_optimizers.AdamOptimizer",
    "sklearn.neural_network._stochastic_optimizers.SGDOptimizer",
    "sklearn.tree._tree.Tree",
    "sklearn.utils.validation.check_array",
)
SUFFIX = {"skops": "skops", "pickle": "pickle"}


@dataclass(frozen=True)
class Stored:
    """Where an artifact lies, and what it is verified by."""

    uri: str
    sha256: str
    format: ArtifactFormat
    n_bytes: int


def model_directory(settings: Settings, monitor: str) -> str:
    """Where the artifacts of a monitor lie, and the pointer to its champion."""
    return join(str(settings.home.resolve()), "models", monitor)


def dumped(model: Model, trust_pickle: bool) -> tuple[bytes, ArtifactFormat]:
    """The model's bytes: skops where that can hold it, else pickle where the declaration trusts it.

    Two dumps of one model differ: it is the bytes that are named, not the model. Raises RetrainError when skops cannot
    hold it and pickle is not trusted.
    """
    import joblib  # these take a second to import
    import skops.io

    document = model.to_document()
    try:
        content = skops.io.dumps(document, compression=zipfile.ZIP_DEFLATED)
        unknown = sorted(set(skops.io.get_untrusted_types(data=content)) - set(TRUSTED))
        why = f"it holds types that are not known as safe to load: {', '.join(unknown)}" if unknown else ""
    except Exception as error:  # noqa: BLE001  whatever the parts of a user's model raise
        content, why = b"", f"skops cannot hold it ({type(error).__name__}: {error})"
    if not why:
        return content, "skops"
    if not trust_pickle:
        raise RetrainError(
            f"the model {type(model.estimator).__name__} cannot be kept without pickle: {why}. Return a scikit-learn"
            " estimator, or write retrain.training.trust_pickle: true if you trust whoever writes the artifacts"
        )
    buffer = io.BytesIO()
    try:
        joblib.dump(document, buffer, compress=3)
    except Exception as error:  # a user's model pickles as it likes
        raise RetrainError(f"the model cannot be pickled: {type(error).__name__}: {error}") from error
    return buffer.getvalue(), "pickle"


def parsed(content: bytes, artifact_format: ArtifactFormat | None, trust_pickle: bool) -> Model:
    """The model in these bytes, which must have been verified. Raises RetrainError."""
    if artifact_format == "skops":
        import skops.io
        from skops.io.exceptions import UntrustedTypesFoundException

        try:
            return Model.from_document(skops.io.loads(content, trusted=list(TRUSTED)))
        except UntrustedTypesFoundException as error:
            raise RetrainError(f"the artifact is refused: {error}") from error
        except RetrainError:
            raise
        except Exception as error:
            raise RetrainError(f"the artifact cannot be read: {type(error).__name__}: {error}") from error
    if artifact_format != "pickle":
        raise RetrainError(
            f"artifacts of format {artifact_format or 'unknown'} cannot be loaded; only skops and pickle"
        )
    if not trust_pickle:
        raise RetrainError(
            "the artifact is a pickle, which runs code when it is loaded; write retrain.training.trust_pickle: true if"
            " you trust whoever writes the artifacts"
        )
    import joblib

    try:
        return Model.from_document(joblib.load(io.BytesIO(content)))
    except RetrainError:
        raise
    except Exception as error:  # a pickle runs any code
        raise RetrainError(f"the artifact cannot be read: {type(error).__name__}: {error}") from error


def store(content: bytes, artifact_format: ArtifactFormat, settings: Settings, monitor: str) -> Stored:
    """Write an artifact once, whole or not at all; one that lies there already is left alone. Raises RetrainError."""
    sha256 = hashlib.sha256(content).hexdigest()
    directory = model_directory(settings, monitor)
    uri = join(directory, f"{sha256}.{SUFFIX[artifact_format]}")
    try:
        make_directory(directory)
        if not _holds(uri, sha256):
            _write(uri, content)
    except OSError as error:
        raise RetrainError(f"the artifact cannot be written to {directory}: {error}; free space there") from error
    return Stored(uri, sha256, artifact_format, len(content))


def save(model: Model, settings: Settings, monitor: str, trust_pickle: bool = False) -> Stored:
    """``dumped``, then ``store``: for a model that is registered by hand."""
    content, artifact_format = dumped(model, trust_pickle)
    return store(content, artifact_format, settings, monitor)


def load(ctx: RetrainContext, version: ModelVersion | str) -> Model:
    """The model of a registered version, its bytes verified before anything of them is parsed. Raises as ``registered``
    and ``verified`` do.
    """
    found = registered(ctx, version)
    content = verified(found.artifact_uri or "", found.artifact_sha256 or "")
    try:
        return parsed(content, found.artifact_format, ctx.monitor.retrain.training.trust_pickle)
    except RetrainError as error:
        raise RetrainError(
            f"{ctx.monitor.name}, model version {found.model_version!r}, {found.artifact_uri}: {error}"
        ) from error


def registered(ctx: RetrainContext, version: ModelVersion | str) -> ModelVersion:
    """A version as it is registered now. Raises RetrainError when it is not, or not so, or has no artifact any more."""
    from monitoring_pipeline.warehouse.model_versions import ModelVersion, model_versions

    name = version if isinstance(version, str) else version.model_version
    found = ctx.warehouse.run(lambda conn: model_versions(conn, ctx.monitor.name)).get(name)
    if found is None:
        raise RetrainError(f"{ctx.monitor.name}: model version {name!r} is not registered; see `model list`")
    if isinstance(version, ModelVersion) and version.artifact_sha256 != found.artifact_sha256:
        raise RetrainError(f"{ctx.monitor.name}: model version {name!r} is registered with another artifact")
    if found.pruned_at is not None:
        raise RetrainError(
            f"{ctx.monitor.name}: the artifact of model version {name!r} was deleted on {found.pruned_at:%Y-%m-%d}"
        )
    if found.artifact_uri is None or found.artifact_sha256 is None:
        raise RetrainError(f"{ctx.monitor.name}: model version {name!r} was registered without an artifact")
    return found


def open_artifact(uri: str, sha256: str, artifact_format: ArtifactFormat, trust_pickle: bool = False) -> Model:
    """The model of a file whose digest comes from where the caller trusts, such as the pointer to the champion."""
    return parsed(verified(uri, sha256), artifact_format, trust_pickle)


def verified(uri: str, sha256: str) -> bytes:
    """The bytes of an artifact, if they are those recorded. Raises RetrainError."""
    try:
        with fsspec.open(uri, "rb") as file:
            content: bytes = file.read()
    except (OSError, UserError) as error:
        raise RetrainError(
            f"{uri}: the artifact cannot be read ({error}); bring it back from a copy, or choose another version"
        ) from error
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        raise RetrainError(
            f"{uri}: its SHA-256 is {found}, not the recorded {sha256}; the file was altered and is not loaded. Bring"
            " it back from a copy, or choose another version"
        )
    return content


def _holds(uri: str, sha256: str) -> bool:
    """Whether these bytes lie there already; a file that was cut short or altered is written anew."""
    try:
        verified(uri, sha256)
    except RetrainError:
        return False
    return True


def _write(uri: str, content: bytes) -> None:
    if protocol_of(uri):  # an object store makes a whole object visible at once
        with fsspec.open(uri, "wb") as file:
            file.write(content)
        return
    path = Path(uri)
    temporary = path.with_name(f".tmp-{uuid.uuid4().hex}-{path.name}")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        _sync_directory(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def _sync_directory(directory: Path) -> None:
    """The name of the file lasts too."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
