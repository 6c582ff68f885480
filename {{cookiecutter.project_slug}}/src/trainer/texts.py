# Owned by the template.
"""Words and dates, from texts to numbers; part of the exported graph."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence

import tensorflow as tf

from trainer.columns import DATE_DIGITS, Date

# Words are kept as these hashes: a vocabulary is known only when all rows were read. A row is int32.
HASHES = 2**31 - 1
MOST_COUNTED = 1_000_000
PADDING, UNKNOWN, FIRST_WORD = 0, 1, 2
DATE_NUMBERS = 4
_MONTHS = [0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
# From 0000-03-01.
_DAYS_TO_1970 = 719468


def words_of(texts: tf.Tensor, length: int, prefix: str) -> tf.Tensor:
    """The first `length` words of texts [batch], in lower case, without punctuation, behind `prefix`: [batch, length],
    "" where there are fewer.
    """
    # Keras' own standardization knows ASCII only.
    plain = tf.strings.regex_replace(tf.strings.lower(texts, encoding="utf-8"), r"[\p{P}\p{S}]", "")
    words = tf.strings.split(tf.strings.regex_replace(plain, r"[\p{Z}\s]+", " "), " ")
    words = tf.ragged.boolean_mask(words, words != "")
    return tf.strings.join([prefix, words]).to_tensor("", shape=[None, length])


def hashed(words: tf.Tensor) -> tf.Tensor:
    """Words as int64 below `HASHES`, -1 for ""."""
    return tf.where(words == "", tf.constant(-1, tf.int64), tf.strings.to_hash_bucket_fast(words, HASHES))


class Vocabulary:
    """Token ids of hashed words: 0 for none, 1 for an unknown one, then one for each of `words`, in their order."""

    def __init__(self, words: Mapping[str, int]) -> None:
        """`words`, with the prefixes of their columns, and their ids."""
        texts, ids = list(words) or [""], list(words.values()) or [UNKNOWN]
        keys = tf.strings.to_hash_bucket_fast(tf.constant(texts), HASHES).numpy()
        # Of two words with one hash, the more frequent one has the id.
        known = dict(zip(reversed(keys.tolist()), reversed(ids), strict=True))
        initializer = tf.lookup.KeyValueTensorInitializer(list(known), list(known.values()), tf.int64, tf.int64)
        self.table = tf.lookup.StaticHashTable(initializer, UNKNOWN)

    def ids(self, hashes: tf.Tensor) -> tf.Tensor:
        """Token ids, int64, in the shape of `hashes`."""
        return tf.where(hashes < 0, tf.constant(PADDING, tf.int64), self.table.lookup(tf.cast(hashes, tf.int64)))


class WordCounts:
    """Counts the words of several columns; of so many that memory could end, the rare ones are forgotten."""

    def __init__(self, most: Sequence[int]) -> None:
        """`most`: how many words of each column are asked for."""
        self._most, self._counts = most, [Counter() for _ in most]

    def add(self, words: Sequence[bytes], counts: Sequence[int]) -> None:
        """Add words behind the numbers of their columns, and how often each was seen."""
        for word, count in zip(words, counts, strict=True):
            if word:
                number, _, text = word.decode("utf-8", "replace").partition(":")
                self._counts[int(number)][text] += count
        for counted in self._counts:
            if len(counted) > MOST_COUNTED:
                for word, _ in counted.most_common()[MOST_COUNTED // 2 :]:
                    del counted[word]

    def most_frequent(self) -> list[list[str]]:
        """The most frequent words of each column; of those as frequent as each other, the alphabet's first."""
        pairs = zip(self._counts, self._most, strict=True)
        return [
            sorted(counted, key=lambda word, counted=counted: (-counted[word], word))[:most] for counted, most in pairs
        ]


def date_numbers(column: Date, texts: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Year, month, weekday (Monday is 0) and days since 1970-01-01 of texts [batch], float32 [batch, 4]; and whether
    each text is a date.
    """
    has_form = tf.strings.regex_full_match(texts, column.pattern)
    given = tf.where(has_form, texts, column.example)
    part = dict.fromkeys(("%m", "%d"), tf.ones_like(given, tf.int32))
    part |= dict.fromkeys(("%H", "%M", "%S"), tf.zeros_like(given, tf.int32))
    position = 0
    for piece in re.findall("%.|[^%]", column.format):
        width = DATE_DIGITS.get(piece, len(piece.encode()))
        if piece in DATE_DIGITS:
            part[piece] = tf.strings.to_number(tf.strings.substr(given, position, width), tf.int32)
        position += width
    year, month, day = part["%Y"], part["%m"], part["%d"]
    is_leap = (year % 4 == 0) & ((year % 100 != 0) | (year % 400 == 0))
    longest = tf.gather(_MONTHS, tf.clip_by_value(month, 1, 12)) + tf.cast(is_leap & (month == 2), tf.int32)
    is_date = has_form & (year > 0) & (month > 0) & (month < 13) & (day > 0) & (day <= longest)
    is_date &= (part["%H"] < 24) & (part["%M"] < 60) & (part["%S"] < 60)
    # A year that begins in March ends with the leap day.
    years = year - tf.cast(month < 3, tf.int32)
    days = 365 * years + years // 4 - years // 100 + years // 400
    days += (153 * ((month + 9) % 12) + 2) // 5 + day - 1 - _DAYS_TO_1970
    seconds = 3600 * part["%H"] + 60 * part["%M"] + part["%S"]
    numbers = [tf.cast(one, tf.float32) for one in (year, month, (days + 3) % 7, days)]
    numbers[3] += tf.cast(seconds, tf.float32) / 86400
    return tf.stack(numbers, axis=1), is_date
