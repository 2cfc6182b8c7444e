"""What is added to pdoc; ``make docs`` builds all pages, and a warning ends it."""

import textwrap

import pytest

pytest.importorskip("pdoc", reason="needs pdoc: pip install -e '.[docs]'")

from docs.api import field_comments, read_modules, write_page

SOURCE = '''
@dataclass(frozen=True)
class Config:
    """What it is."""

    # Steps between two lines
    # of the log.
    every: int = 20
    size: tuple[
        int, int
    ] = (1, 2)  # (height, width)
    plain: int = 3

    # Of no field.
    def build(self): ...
'''


def test_comments_above_and_behind_a_field_belong_to_it():
    assert dict(field_comments(textwrap.dedent(SOURCE))) == {
        "every": "Steps between two lines of the log.",
        "size": "(height, width)",
        "plain": "",
    }


@pytest.mark.filterwarnings("ignore:Error parsing type annotation")  # of JAX and optax
def test_a_page_reads_as_the_source_does(tmp_path):
    modules = read_modules()
    page = write_page(modules["maskrcnn_jax.structures"], modules, tmp_path).read_text()
    assert "(height, width) of the real pixels" in page
    assert "Float[Array, &#39;*b g 4&#39;]" in page
    assert "jaxtyping." not in page
    assert 'id="Batch.replace"' not in page
    heads = write_page(modules["maskrcnn_jax.roi.mask"], modules, tmp_path).read_text()
    assert 'href="mask/fcn.html"' in heads  # ``__all__`` does not name it
