"""The words that made-up products are named from, and that visitors search for."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

NOUNS: dict[str, tuple[str, ...]] = {
    "Furniture": ("Desk", "Chair", "Bookcase", "Sofa", "Stool", "Sideboard", "Bench", "Cabinet"),
    "Lighting": ("Lamp", "Lantern", "Pendant", "Sconce", "Spotlight", "Chandelier", "Torch",
                 "Shade"),
    "Kitchen": ("Kettle", "Skillet", "Teapot", "Mixer", "Saucepan", "Toaster", "Grinder", "Ladle"),
    "Tableware": ("Bowl", "Plate", "Mug", "Carafe", "Platter", "Tumbler", "Tray", "Jug"),
    "Bedding": ("Blanket", "Pillow", "Duvet", "Quilt", "Mattress", "Bedspread", "Throw", "Bolster"),
    "Garden": ("Planter", "Trowel", "Hose", "Birdhouse", "Hammock", "Parasol", "Rake", "Trellis"),
    "Tools": ("Hammer", "Drill", "Wrench", "Chisel", "Clamp", "Level", "Plane", "Sander"),
    "Clothing": ("Jacket", "Shirt", "Sweater", "Coat", "Dress", "Skirt", "Trousers", "Vest"),
    "Shoes": ("Boots", "Sandals", "Loafers", "Sneakers", "Slippers", "Clogs", "Pumps", "Brogues"),
    "Bags": ("Backpack", "Satchel", "Tote", "Suitcase", "Wallet", "Purse", "Duffel", "Pouch"),
    "Jewellery": ("Ring", "Necklace", "Bracelet", "Brooch", "Earrings", "Watch", "Anklet",
                  "Locket"),
    "Beauty": ("Soap", "Perfume", "Lotion", "Balm", "Shampoo", "Candle", "Serum", "Brush"),
    "Sport": ("Racket", "Kayak", "Helmet", "Yoga Mat", "Dumbbell", "Skateboard", "Paddle", "Tent"),
    "Toys": ("Puzzle", "Kite", "Robot", "Teddy", "Yo-yo", "Marble Run", "Train", "Dollhouse"),
    "Stationery": ("Notebook", "Pen", "Planner", "Folder", "Easel", "Stapler", "Inkwell", "Ruler"),
    "Audio": ("Headphones", "Speaker", "Turntable", "Radio", "Microphone", "Amplifier", "Earbuds",
              "Metronome"),
}  # fmt: skip
"""The nouns of each category; four neighbouring categories make a department."""

ADJECTIVES = (
    "Amber", "Bold", "Breezy", "Bright", "Calm", "Clever", "Coastal", "Cosy", "Crisp", "Dapper",
    "Dusky", "Eager", "Early", "Fabled", "Gentle", "Golden", "Grand", "Hardy", "Honest", "Humble",
    "Ivory", "Jolly", "Keen", "Little", "Lively", "Lofty", "Lucky", "Mellow", "Merry", "Misty",
    "Modern", "Nimble", "Noble", "Northern", "Olive", "Plain", "Proud", "Quiet", "Rustic", "Silver",
    "Snug", "Sturdy", "Sunny", "Swift", "Tidy", "Urban", "Velvet", "Winter",
)  # fmt: skip
MATERIALS = (
    "Ash", "Bamboo", "Brass", "Canvas", "Ceramic", "Copper", "Cork", "Cotton", "Felt", "Glass",
    "Granite", "Hemp", "Leather", "Linen", "Maple", "Marble", "Oak", "Pine", "Porcelain", "Slate",
    "Steel", "Walnut", "Wicker", "Wool",
)  # fmt: skip

CATEGORIES = tuple(NOUNS)
NOUNS_EACH = 8

_STRIDE = 5_743  # coprime to the number of combinations, so that neighbours differ in every word


def product_words(serial: NDArray[np.int64]) -> tuple[NDArray[np.int64], ...]:
    """Spread the serial numbers of a category's products over words.

    Returns the indices of adjective, material and noun (within the category), and the mark:
    0 for the first products, which use every combination of words once, then 1, 2, and so on.
    """
    combinations = len(ADJECTIVES) * len(MATERIALS) * NOUNS_EACH
    code = serial * _STRIDE % combinations
    rest, adjective = np.divmod(code, len(ADJECTIVES))
    noun, material = np.divmod(rest, len(MATERIALS))
    return adjective, material, noun, serial // combinations


def query_words() -> list[str]:
    """All queries: each noun alone, then each noun after each material, nouns the faster."""
    nouns = [noun.lower() for category in CATEGORIES for noun in NOUNS[category]]
    return nouns + [f"{material.lower()} {noun}" for material in MATERIALS for noun in nouns]
