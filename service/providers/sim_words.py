"""What the simulated model says: readable English, a token per word, from a seed. Pure."""

from collections.abc import Iterable

MAX_QUOTED_WORDS = 12
MAX_WORD_CHARACTERS = 40

_OPENING = ("This", " is", " a", " simulated", " answer.")

_SENTENCES = tuple(
    tuple(f" {word}" for word in sentence.split())
    for sentence in (
        "No model was asked, and nothing was paid.",
        "The sluice opens when the water stands a hand below the sill.",
        "A wheel turns at the pace that the stream allows.",
        "Every word of this text is one token, so that counting is exact.",
        "The same question always brings the same words in the same order.",
        "Upstream, the reservoir is calm; downstream, the mill is at work.",
        "What enters the pipe at the top leaves it at the bottom, unchanged.",
        "The keeper notes the level each hour and closes the gate at dusk.",
        "When the flow is too strong, a valve holds it back for a while.",
        "Pressure grows with depth, and patience grows with practice.",
        "In spring the meltwater comes down from the hills all at once.",
        "A narrow channel carries more than one would think by looking at it.",
        "Point this gateway at a provider to hear from a real model.",
    )
)


def count_words(text: str) -> int:
    """The simulated model's tokens of `text`: what stands between white space."""
    return len(text.split())


def answer_tokens(heard: str, *, verb: str, seed: int, count: int) -> list[str]:
    """Exactly `count` tokens (at least 1), whose concatenation is a text that ends in a full stop.

    heard: what the answer acknowledges, as `You {verb} "…".`; the seed decides what follows.
    """
    tokens = [*_OPENING, *_acknowledgement(heard, verb)]
    sentence = seed % len(_SENTENCES)
    while len(tokens) < count:
        tokens += _SENTENCES[sentence]
        # Knuth's MMIX generator; never the same sentence twice in a row.
        seed = (seed * 6364136223846793005 + 1442695040888963407) % (1 << 64)
        sentence = (sentence + 1 + (seed >> 33) % (len(_SENTENCES) - 1)) % len(_SENTENCES)
    del tokens[count:]
    tokens[-1] = tokens[-1].rstrip(".,;:") + "."
    return tokens


def _acknowledgement(heard: str, verb: str) -> list[str]:
    words = [word[:MAX_WORD_CHARACTERS] for word in heard.split(maxsplit=MAX_QUOTED_WORDS)]
    if not words:
        return []
    more = "…" if len(words) > MAX_QUOTED_WORDS else ""
    quoted = " ".join(words[:MAX_QUOTED_WORDS])
    return [f" {word}" for word in f'You {verb} "{quoted}{more}".'.split()]


def before_stop(tokens: list[str], stops: Iterable[str]) -> list[str] | None:
    """The tokens of the text before the first of `stops`, the last one cut if need be.

    None if none of them occurs. An empty stop sequence stops nothing.
    """
    text = "".join(tokens)
    places = [text.find(stop) for stop in stops if stop]
    end = min((place for place in places if place >= 0), default=-1)
    if end < 0:
        return None
    kept: list[str] = []
    for token in tokens:
        if end <= 0:
            break
        kept.append(token[:end])
        end -= len(token)
    return kept


def pieces(text: str, size: int = 8) -> list[str]:
    """JSON text as tokens: it has no words, so every `size` characters are one."""
    return [text[start : start + size] for start in range(0, len(text), size)]
