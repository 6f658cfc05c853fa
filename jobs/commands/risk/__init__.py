"""The commands about a risk: its models, its decisions, its policy."""

#: The help of an argument that names a risk.
RISK = "The name of a risk. A wrong name is answered with all names."
