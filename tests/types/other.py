"""A model whose name another module uses as well."""

from pydantic import BaseModel


class Sample(BaseModel):
    from_other: int
