"""Loads a SavedModel through TensorFlow's C API: the C++ loader that TensorFlow Serving uses, with no Python in it."""

import ctypes
from pathlib import Path

import tensorflow as tf


def load_error(folder: str) -> str:
    """What the C++ loader says of the SavedModel in `folder`; empty when it loads."""
    library = ctypes.CDLL(str(next(Path(tf.__file__).parent.glob("libtensorflow_cc.so*"))))
    for name in ("TF_NewStatus", "TF_NewGraph", "TF_NewSessionOptions", "TF_LoadSessionFromSavedModel"):
        getattr(library, name).restype = ctypes.c_void_p
    library.TF_Message.restype = ctypes.c_char_p
    status, graph, options = (
        ctypes.c_void_p(make()) for make in (library.TF_NewStatus, library.TF_NewGraph, library.TF_NewSessionOptions)
    )
    tags = (ctypes.c_char_p * 1)(b"serve")
    library.TF_LoadSessionFromSavedModel(options, None, folder.encode(), tags, 1, graph, None, status)
    return library.TF_Message(status).decode()
