"""What a detector may name, and how other data sets say it. The list is that of agent/contract/label.ts."""

# COCO ids (the 80-class numbering from 0) of what a street rule can be about. Rows of other classes are cut out of
# the weights: what is not in the file can be neither detected nor switched on later.
LABELS = {0: "person", 1: "bicycle", 2: "car", 3: "motorcycle", 5: "bus", 7: "truck", 16: "dog",
          24: "backpack", 26: "handbag", 28: "suitcase"}

# Other data sets' words for the same thing (PASCAL VOC, CityPersons, Objects365). What means something else in one of
# them is not here: --map says it.
_SYNONYMS = {"motorbike": "motorcycle", "pedestrian": "person"}

COCO80 = """person bicycle car motorcycle airplane bus train truck boat traffic_light fire_hydrant stop_sign parking_meter bench
bird cat dog horse sheep cow elephant bear zebra giraffe backpack umbrella handbag tie suitcase frisbee skis snowboard
sports_ball kite baseball_bat baseball_glove skateboard surfboard tennis_racket bottle wine_glass cup fork knife spoon bowl
banana apple sandwich orange broccoli carrot hot_dog pizza donut cake chair couch potted_plant bed dining_table toilet tv
laptop mouse remote keyboard cell_phone microwave oven toaster sink refrigerator book clock vase scissors teddy_bear
hair_drier toothbrush""".replace("_", "-").split()
# The numbers from 1 of COCO's annotation files that no class of the 80 has: where a network keeps them, they are rows that
# never say anything.
_COCO91_GAPS = (12, 26, 29, 30, 45, 66, 68, 69, 71, 83, 91)


def coco91():
    """The names in the numbering of COCO's own annotations, from 1 to 90, as TensorFlow's and DETR's models have it; at 0
    lies what is nothing."""
    named = iter(COCO80)
    return ["background", *("n/a" if number in _COCO91_GAPS else next(named) for number in range(1, 91))]


def plain(name):
    """A class name as it is compared: small letters, words joined by one hyphen."""
    return "-".join(name.lower().replace("_", " ").replace("-", " ").split())


# Words of classes that are never taken for one of ours: a box on a face is a face, under whatever name it leaves.
_IDENTITY = {"face", "head", "eye", "iris", "ear", "mouth", "nose", "fingerprint", "hand", "gait", "plate", "licence", "license",
             "number-plate"}


def tells_identity(name):
    """Whether a class name is that of a part of a person, or of a vehicle's plate."""
    words = plain(name).split("-")
    return any(word in _IDENTITY or word.removesuffix("s") in _IDENTITY for word in words)


def rows_of(names, mapped):
    """(rows, labels): the indices in `names` that are one of our labels, in the order of LABELS, and their labels.

    `mapped` holds further names (in plain form) and the label for which each is to be taken.
    """
    found = []
    for row, name in enumerate(names):
        ours = mapped.get(plain(name)) or _SYNONYMS.get(plain(name), plain(name))
        found.extend((label, row) for label, known in LABELS.items() if known == ours)
    return [row for _, row in sorted(found)], [label for label, _ in sorted(found)]
