"""Names are resolved through imports, scopes and builtins; what the code makes itself has no name outside of it."""

import ast

import pytest

from onstage.checks.names import Names


@pytest.mark.parametrize(
    ("code", "name"),
    [
        ("input()", "input"),
        ("import builtins\nbuiltins.input()", "input"),
        ("from builtins import input as ask\nask()", "input"),
        ("import builtins as b\nb.input()", "input"),
        ("import matplotlib.pyplot as p\np.show()", "matplotlib.pyplot.show"),
        ("import matplotlib.pyplot\nmatplotlib.pyplot.show()", "matplotlib.pyplot.show"),
        ("from matplotlib import pyplot\npyplot.show()", "matplotlib.pyplot.show"),
        ("from matplotlib.pyplot import show\nshow()", "matplotlib.pyplot.show"),
        ("def f():\n    from matplotlib.pyplot import show\n    show()", "matplotlib.pyplot.show"),
        ("from pylab import *\nshow()", "pylab.show"),
        ("from pylab import *\ninput()", "input"),
        ("try:\n    import cv2\nexcept ImportError:\n    cv2 = None\ncv2.imshow()", "cv2.imshow"),
        # A name of another function's says nothing about this one.
        ("def f(input):\n    pass\ndef g():\n    return input()", "input"),
        ("class A:\n    def input(self):\n        return input()", "input"),
        ("[input for input in 'ab']\ninput()", "input"),
        ("def input():\n    pass\ninput()", ""),
        ("def f(input):\n    return input()", ""),
        ("def f():\n    input = len\n    return [input(x) for x in 'ab']", ""),
        ("class A:\n    def f(self):\n        self.show()", ""),
        ("from .plots import show\nshow()", ""),
        ("from trainer.plots import show\nshow()", "trainer.plots.show"),
        ("import keras\ninput = keras.Input\ninput()", ""),
        ("def f():\n    global ask\n    from builtins import input as ask\ndef g(p):\n    p()", ""),
        ("(lambda show: show())(1)", ""),
        ("f()()", "f"),
    ],
)
def test_the_last_call_has_this_name(code: str, name: str) -> None:
    tree = ast.parse(code)
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    assert (
        Names(tree).of(max(calls, key=lambda node: (node.lineno, node.col_offset, -len(ast.dump(node)))).func) == name
    )
