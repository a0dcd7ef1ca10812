"""Everything that can go wrong, sorted by what the service should do about it.

ProjectorError
├── WrongInput         wrong usage, settings, topic or file: say what to change, exit 2, before anything is written
├── Unavailable        a broker, Redis or file that should be there is not, or does not answer: exit 1
└── Doubt              an outcome is unknown or somebody else took over: end this life, begin again by the start rule
    └── Fenced         the doubt is certain: another member owns what we wrote for

A record that cannot be folded is not an error but a value: `decode.Rejected`.
"""


class ProjectorError(Exception):
    """Base of all; its message is fit to be shown to the person who runs the service."""


class WrongInput(ProjectorError):
    """What was asked for cannot be done as it was asked; the message says what to change."""


class Unavailable(ProjectorError):
    """Something outside does not answer; trying again later may help."""


class Doubt(ProjectorError):
    """An effect may or may not have happened: drop all that is remembered and begin a new life."""


class Fenced(Doubt):
    """The group or the transaction coordinator said that another member has taken over."""
