import math

from maskrcnn_jax.evaluation.coco import SUMMARY_NAMES, CocoScores
from maskrcnn_jax.evaluation.tables import class_table, count_table, summary_table


def scores(per_class, *, quality=None):
    summary = {name: index / 100 for index, name in enumerate(SUMMARY_NAMES)}
    summary["APs"] = math.nan
    return CocoScores(summary=summary, per_class=per_class, mean_matched_iou=quality, evidence=None)


def test_summary_table():
    both = {"bbox": scores({}), "segm": scores({}, quality=0.625)}
    lines = summary_table(both).split("\n")
    assert lines[0].split() == ["box", "mask", "box", "mask"]
    assert lines[1].split() == ["AP", "0.000", "0.000", "AR1", "0.060", "0.060"]
    assert lines[4].split() == ["APs", "-", "-", "ARs", "0.090", "0.090"]
    assert lines[-1] == "mean IoU of matched masks  0.625"
    assert len({len(line) for line in lines[:7]}) == 1
    assert summary_table({"bbox": scores({})}).split("\n")[1] == "AP     0.000  AR1    0.060"
    lines = summary_table(both | {"boundary": scores({})}).split("\n")
    assert lines[0].split() == 2 * ["box", "mask", "boundary"]
    assert len({len(line) for line in lines[:7]}) == 1


def test_class_table_lists_the_best_masks_first_in_columns():
    names = [f"class {index}" for index in range(7)]
    boxes = scores(dict.fromkeys(names, 0.5))
    masks = scores({name: index / 10 for index, name in enumerate(names)})
    lines = class_table({"bbox": boxes, "segm": masks, "boundary": boxes}).split("\n")
    assert lines[1].split()[:2] == ["class", "6"]
    assert lines[1].split()[2:5] == ["0.500", "0.600", "0.500"]
    down = [" ".join(line.split()[:2]) for line in lines[1:4]]
    assert down == ["class 6", "class 5", "class 4"]
    assert sum(line.count("class") for line in lines) == 7


def test_tables_fit_into_80_columns_and_name_every_class():
    names = [f"{'very ' * (index % 6)}long name {index}" for index in range(80)]
    values = {name: math.nan if index % 9 == 0 else 0.3 for index, name in enumerate(names)}
    three = {"bbox": scores(values), "segm": scores(values), "boundary": scores(values)}
    table = class_table(three)
    assert max(map(len, table.split("\n"))) <= 80
    assert table.count("0.300") == 3 * sum(not math.isnan(value) for value in values.values())
    assert "Without objects: long name 0, " in table


def test_class_table_without_any_objects():
    table = class_table({"bbox": scores({"cat": math.nan})})
    assert table.endswith("Without objects: cat")


def test_counts_are_summed_over_images_the_most_frequent_first():
    table = count_table([{"dog": 1, "cat": 2}, {}, {"cat": 1}, {"a name that is far too long": 1}])
    assert table.splitlines() == [
        "                      objects  images",
        "cat                         3       2",
        "dog                         1       1",
        "a name that is far …        1       1",
        "all                         5       3",
    ]
    assert count_table([{}]).splitlines() == ["     objects  images", "all        0       0"]
