"""The shadow of a risk: a second model or policy that scores every decision, too. Its decisions are logged, and never
answered."""

from serving.shadow.runner import Shadows
from serving.shadow.setting import Setting

__all__ = ["Setting", "Shadows"]
