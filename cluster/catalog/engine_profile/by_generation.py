"""A number that depends on the generation of the GPU."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class ByGeneration:
    """A count or a size in bytes by GPU generation, which is the major compute capability (9 is Hopper)."""

    default: int
    """For a generation that is not listed, and for a GPU of unknown generation."""
    by_generation: dict[int, int] = field(hash=False)
    """Major compute capability -> value."""

    def at(self, generation: int | None) -> int:
        """Return the value of a generation: its own entry, else the default. None: the GPU is not known.

        There is no order between generations: an entry for 9 says nothing of 10.
        """
        return self.default if generation is None else self.by_generation.get(generation, self.default)
