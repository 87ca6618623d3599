"""What routes say of themselves to the OpenAPI document: their parameters and answers.

Parameters are texts: the handlers' own rooms read them, so that what is wrong with one is said as
everywhere else.
"""

from typing import Annotated

from litestar.openapi import ResponseSpec
from litestar.params import QueryParameter

from service.paging import MAX_PAGE


def parameter(name: str, description: str) -> QueryParameter:
    """One in the query string that may be left out."""
    return QueryParameter(name=name, required=False, description=description)


def answer(
    body: type, description: str, status: int = 200, media_type: str = "application/json"
) -> dict[int, ResponseSpec]:
    """The answer when all goes well. Examples are `service.docs`' own: the framework's look made up."""
    return {
        status: ResponseSpec(
            data_container=body, description=description, media_type=media_type, generate_examples=False
        )
    }


Limit = Annotated[str | None, parameter("limit", f"How many at most, 1 to {MAX_PAGE}.")]
After = Annotated[str | None, parameter("after", "The `next_cursor` of the page before.")]
