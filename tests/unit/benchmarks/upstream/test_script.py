"""The script at the head of a prompt: written by the client, read by the provider, through whoever is between."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.upstream.script import FAULTS, Fault, NotAScript, Script, order, prompt, read

OTHERWISE = Script(tokens=7, interval_ms=3.0, fault="cut", error_percent=2.0)


@given(
    st.builds(
        Script,
        tokens=st.integers(1, 1_000_000),
        interval_ms=st.floats(0, 3_600_000),
        fault=st.sampled_from(FAULTS),
        error_percent=st.floats(0, 100, exclude_min=True),
        silent_after=st.integers(1, 1_000_000),
    ),
    st.text(min_size=1),
)
def test_what_is_written_is_read(script: Script, text: str) -> None:
    """Whatever the text behind it looks like, and whatever would hold otherwise."""
    assert read(prompt(script, text), OTHERWISE) == msgspec.structs.replace(script, chars=len(text))


def test_what_isnt_said_is_left_to_the_providers_options() -> None:
    """Faults that a client doesn't ask for; all of it where there is no script."""
    said = read(prompt(Script(tokens=5), "Hello"), OTHERWISE)
    assert (said.tokens, said.fault, said.error_percent) == (5, "cut", 2.0)
    assert read("[bench tokens=5] Hello", OTHERWISE) == msgspec.structs.replace(OTHERWISE, tokens=5)
    for plain in ("", "Hello", " [bench tokens=5] Hello", "[bench"):
        assert read(plain, OTHERWISE) == OTHERWISE


def test_a_prompt_that_arrives_torn_is_refused_wherever_it_was_torn() -> None:
    """In its text and in its script; only what has lost the mark itself is a prompt like any other."""
    whole = prompt(Script(tokens=50, interval_ms=5), "The upper pond feeds two wheels.")
    for length in range(len("[bench "), len(whole)):
        with pytest.raises(NotAScript):
            read(whole[:length], OTHERWISE)
    with pytest.raises(NotAScript, match="33 of 32 characters"):
        read(whole + "!", OTHERWISE)


@pytest.mark.parametrize(
    "words",
    [
        pytest.param("tokens=many", id="no-number"),
        pytest.param("tokens=1.5", id="half-a-token"),
        pytest.param("tokens=0", id="no-tokens"),
        pytest.param("tokens=-1", id="fewer-than-none"),
        pytest.param("tokens=10000000", id="too-many-tokens"),
        pytest.param("tokens=", id="no-value"),
        pytest.param("tokens", id="no-equals-sign"),
        pytest.param("token=5", id="a-mistyped-name"),
        pytest.param("interval_ms=-1", id="back-in-time"),
        pytest.param("interval_ms=inf", id="never"),
        pytest.param("interval_ms=nan", id="at-no-time"),
        pytest.param("fault=lots", id="an-unknown-fault"),
        pytest.param("error_percent=101", id="more-than-all"),
        pytest.param("silent_after=-1", id="silent-before-the-start"),
    ],
)
def test_a_script_with_a_mistake_is_refused(words: str) -> None:
    """Rather than answered in another way than was asked for."""
    with pytest.raises(NotAScript):
        read(f"[bench {words}] Hello", Script())


@pytest.mark.parametrize(
    ("fault", "numbers"),
    [
        pytest.param(None, [0, 1, 2, 3, 4, 5], id="right"),
        pytest.param("lost", [0, 1, 2, 4, 5], id="lost"),
        pytest.param("extra", [0, 1, 2, 3, 3, 4, 5], id="extra"),
        pytest.param("swapped", [0, 1, 3, 2, 4, 5], id="swapped"),
        pytest.param("cut", [0, 1, 2], id="cut"),
        pytest.param("unfinished", [0, 1, 2], id="unfinished"),
        pytest.param("refused", [0, 1, 2, 3, 4, 5], id="refused-has-no-order"),
    ],
)
def test_order(fault: Fault | None, numbers: list[int]) -> None:
    assert order(6, fault) == numbers


@pytest.mark.parametrize("fault", ["lost", "extra", "swapped", "cut", "unfinished"])
def test_a_fault_is_never_the_right_order(fault: Fault) -> None:
    """In streams of one token too."""
    assert all(order(tokens, fault) != list(range(tokens)) for tokens in range(1, 50))
