"""Other packages' checkpoints as model files of ours."""

from cynosure.importers.formats import FORMATS
from cynosure.importers.importing import Imported, import_model
from cynosure.importers.verification import BOUNDS, Deviation

__all__ = ["BOUNDS", "FORMATS", "Deviation", "Imported", "import_model"]
