"""Runs a SavedModel through TensorFlow's C API: the C++ loader of TensorFlow Serving, with no Python in it."""

import ctypes
from pathlib import Path

import numpy as np

FLOAT32 = 1


class Output(ctypes.Structure):
    """The C API's TF_Output."""

    _fields_ = [("operation", ctypes.c_void_p), ("index", ctypes.c_int)]


def _library(folder: Path | None) -> ctypes.CDLL:
    if folder is None:
        import tensorflow as tf

        folder = Path(tf.__file__).parent
    library = ctypes.CDLL(str(next(folder.glob("libtensorflow_cc.so*"))))
    pointers = ("NewStatus", "NewGraph", "NewSessionOptions", "LoadSessionFromSavedModel", "GraphOperationByName")
    for name in (*pointers, "AllocateTensor", "TensorData"):
        getattr(library, f"TF_{name}").restype = ctypes.c_void_p
    library.TF_Message.restype = ctypes.c_char_p
    library.TF_TensorData.argtypes = [ctypes.c_void_p]
    library.TF_GraphOperationByName.argtypes = [ctypes.c_void_p, ctypes.c_char_p]
    return library


def error_of(
    folder: str, feed: tuple[str, np.ndarray] | None = None, fetch: str = "", library_folder: Path | None = None
) -> str:
    """What the C++ runtime says of the SavedModel in `folder`, empty when it loads.

    With `feed` (tensor name and float32 values) and `fetch` (float32 tensor name), also when it then answers.
    `library_folder` has another version's library than the one here; a process can have one of them.
    """
    library = _library(library_folder)
    status, graph, options = (
        ctypes.c_void_p(make()) for make in (library.TF_NewStatus, library.TF_NewGraph, library.TF_NewSessionOptions)
    )
    tags = (ctypes.c_char_p * 1)(b"serve")
    session = library.TF_LoadSessionFromSavedModel(options, None, folder.encode(), tags, 1, graph, None, status)
    said = library.TF_Message(status).decode()
    if said or feed is None:
        return said

    def output(name: str) -> Output:
        operation, _, index = name.partition(":")
        return Output(library.TF_GraphOperationByName(graph, operation.encode()), int(index))

    name, values = feed
    shape = (ctypes.c_int64 * values.ndim)(*values.shape)
    tensor = ctypes.c_void_p(library.TF_AllocateTensor(FLOAT32, shape, values.ndim, ctypes.c_size_t(values.nbytes)))
    ctypes.memmove(library.TF_TensorData(tensor), values.astype("float32").ctypes.data, values.astype("float32").nbytes)
    inputs, outputs = (Output * 1)(output(name)), (Output * 1)(output(fetch))
    given, got = (ctypes.c_void_p * 1)(tensor), (ctypes.c_void_p * 1)()
    library.TF_SessionRun(
        ctypes.c_void_p(session), None, inputs, given, 1, outputs, got, 1, None, 0, None, status
    )  # fmt: skip
    return library.TF_Message(status).decode()
