"""What the pages of an analysis and of a comparison share."""

import re

import pytest

from kantor.report import write
from kantor.report.layer_by_layer import matrices


def test_distances_are_alike_where_they_are_small_and_cka_where_it_is_large():
    final = {"rows": ["a1", "a2"], "columns": ["b1", "b2"], "distance": [[0.25, 1.5], [0.5, 0.5]],
             "cka": [[0.9, -0.1], [0.2, 0.7]]}  # fmt: skip
    distance, cka = matrices(final)  # pyright: ignore[reportArgumentType]
    assert (distance["title"], cka["title"]) == ("Transport distance", "Linear CKA")
    assert distance["columns"] == ["b1", "b2"] and [layer for layer, _ in distance["rows"]] == ["a1", "a2"]
    seen = [[cell[1:] for _, cells in table["rows"] for cell in cells] for table in (distance, cka)]
    assert seen[0] == [(0.75, True), (0.0, False), (0.5, True), (0.5, True)]
    assert seen[1] == [(0.9, True), (0.0, False), (0.2, False), (0.7, True)]


@pytest.mark.parametrize("kind", ["compared", "analysed"])
def test_pictures_are_embedded_once_whoever_shows_them(kind, tmp_path, made, request):
    folder = made() if kind == "analysed" else tmp_path
    request.getfixturevalue(kind)(folder)
    write(folder)
    text = (folder / ("analysis.html" if kind == "analysed" else "report.html")).read_text()
    sheets = re.findall(r"--sheet-(\d+):url\(data:image/jpeg;base64,", text)
    assert sheets == ["0"]
    assert text.count("--sheet-0") > 1
