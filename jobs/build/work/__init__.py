"""What the steps of the pipeline do, one module for steps that depend on the same code.

The pipeline redoes a step when a module changes that the step's own module here imports. So no module here imports
another one, and each does without imports that its steps do not need.
"""

from collections.abc import Callable

#: A step calls it after each of its parts, with the part's name.
OnPart = Callable[[str], object]
