"""The inner loops, in integers only: what the compiler takes, and what runs without one.

Everything here is plain Python over NumPy arrays. With numba, `compiled.py` translates these functions as
they stand; without it they run as they are. Five of them would then be too slow by far, so that they have a
second version of whole-array operations at the end of the file; the tests hold both to the same numbers.

The values of a code are +1 and -1, and lie in rows with room between lines, times and at both ends, where
they are 0: a neighbour is then a fixed distance away, and no border needs a test.

Sums of values times weights are int16. `PriorTables` makes sure that none can leave that range. Those of the
global units are int64, and grow from bit to bit.
"""

import numpy as np

PROBABILITY_BITS = 16
LOGIT_LIMIT = 2816
"""Logits are in 1/256 nat, and lie between -11 and 11 nats: 2816 = 11 * 256."""

OUTPUT_SHIFT = 13
GLOBAL_SHIFT = 16
"""Weights to and from the global units are in 1/4096: their products are in 2^-24."""

TOKEN_SHIFT = 2
"""Weights of class tokens are in 1/1024 nat."""

LOW, RANGE, POSITION, OFFSET = 0, 1, 2, 3
"""Places in the state of a coder: the interval, the next byte, and how far the payload lies above `low`."""

_NUM_TIME_BEFORE = 9
"""Of the 13 neighbours before a position, those of the time before come first; the others are not known until
just before the position is decoded."""

TOP_BITS = 40
_RANGE_LEAST = 1 << (TOP_BITS - 8)
_DIGIT_SHIFT = TOP_BITS - 8
_DIGIT_MASK = (1 << _DIGIT_SHIFT) - 1


def encode_planes(values, tokens, hidden, size, shifts, tables, probabilities, state, buffer):
    """Append the bits of all planes to a payload.

    Args:
        values: int16 [bit, place], the grid in +1 and -1.
        tokens: int16 [bit, token], +1 and -1.
        hidden: int64 [unit], sums of the global units before the first bit; they grow with every bit.
        size: Time, height and width of the grid, and the place of its first value.
        shifts: int64, distances of neighbours: 13 before, then all around.
        tables: Before, earlier, reference, bias, output, token weights, token biases, input and output of
            the global units, reference values.
        probabilities: int32, see `PROBABILITIES`.
        state: int64 [4], see `LOW`.
        buffer: uint8, where the payload goes.

    Returns:
        Whether the payload fits into the buffer.
    """
    _, _, _, _, output, token_weights, token_biases, global_input, global_output, _ = tables
    times, height, width, origin = size
    line, step = width + 1, (width + 1) * (height + 1)
    num_before = tables[0].shape[1]
    sums = np.empty((output.shape[1], times * step), np.int16)
    added = np.zeros(times * step + tokens.shape[1], np.int64)
    chances = np.empty(times * step, np.int32)
    for plane in range(values.shape[0]):
        sum_known(sums, values, size, shifts, tables, plane)
        add_products(sums, values[plane], tables[0][plane], shifts[:num_before], origin, 0, times * step)
        if hidden.shape[0] > 0:
            add_global(
                added, hidden, values[plane], tokens[plane], size, global_input[plane], global_output[plane]
            )
        find_probabilities(sums, output[plane], added, probabilities, chances)
        for time in range(times):
            for row in range(height):
                start = time * step + row * line
                for place in range(start, start + width):
                    if not encode_bit(values[plane, origin + place] > 0, chances[place], state, buffer):
                        return False
        for token in range(tokens.shape[1]):
            logit = sum_token(tokens, token, plane, token_weights, token_biases) + added[times * step + token]
            chance = probabilities[probability_index(logit)]
            if not encode_bit(tokens[plane, token] > 0, chance, state, buffer):
                return False
    return True


def decode_planes(values, tokens, hidden, size, shifts, tables, probabilities, state, payload):
    """Read the bits of planes into `values` and `tokens`; the inverse of `encode_planes`."""
    before, _, _, _, output, token_weights, token_biases, global_input, global_output, _ = tables
    times, height, width, origin = size
    line, step = width + 1, (width + 1) * (height + 1)
    late_shifts = shifts[_NUM_TIME_BEFORE : before.shape[1]]
    has_global = hidden.shape[0] > 0
    sums = np.empty((output.shape[1], times * step), np.int16)
    for plane in range(values.shape[0]):
        sum_known(sums, values, size, shifts, tables, plane)
        own, late, position = values[plane], before[plane, _NUM_TIME_BEFORE:], 0
        for time in range(times):
            start, stop = time * step, (time + 1) * step
            weights = before[plane, :_NUM_TIME_BEFORE]
            add_products(sums, own, weights, shifts[:_NUM_TIME_BEFORE], origin, start, stop)
            for row in range(height):
                start = time * step + row * line
                for place in range(start, start + width):
                    logit = find_logit(sums, place, own, origin + place, late, late_shifts, output[plane])
                    if has_global:
                        logit += sum_global(hidden, global_output[plane, position])
                    value = 2 * decode_bit(int(probabilities[probability_index(logit)]), state, payload) - 1
                    own[origin + place] = value
                    if has_global:
                        see(hidden, global_input[plane, position], value)
                    position += 1
        for token in range(tokens.shape[1]):
            logit = sum_token(tokens, token, plane, token_weights, token_biases)
            if has_global:
                logit += sum_global(hidden, global_output[plane, position])
            value = 2 * decode_bit(int(probabilities[probability_index(logit)]), state, payload) - 1
            tokens[plane, token] = value
            if has_global:
                see(hidden, global_input[plane, position], value)
            position += 1


def sum_known(sums, values, size, shifts, tables, plane):
    """Sum what is known of all positions before a plane begins: biases, earlier planes, the reference."""
    before, earlier, reference, bias, _, _, _, _, _, reference_values = tables
    num_before, origin = before.shape[1], size[3]
    set_biases(sums, bias[plane], size[0], size[1], size[2])
    num_earlier, first_row = earlier.shape[1], plane * (plane - 1) // 2
    around = shifts[num_before:]
    for other in range(plane):
        weights = earlier[first_row + other]
        add_products(sums, values[other], weights, around[:num_earlier], origin, 0, sums.shape[1])
    if reference_values.shape[0] > 0:
        weights, own = reference[plane], reference_values[plane]
        add_products(sums, own, weights, around[: weights.shape[0]], origin, 0, sums.shape[1])


def find_logit(sums, place, own, place_of_own, weights, shifts, output):
    """The logit of a position, of the sums and of the neighbours that were only just decoded."""
    logit = 0
    for unit in range(sums.shape[0]):
        total = int(sums[unit, place])
        for neighbour in range(shifts.shape[0]):
            value = int(own[place_of_own + shifts[neighbour]])
            total += value * int(weights[neighbour, unit])
        if unit == 0 or total > 0:
            logit += total * int(output[unit])
    return logit >> OUTPUT_SHIFT


def probability_index(logit):
    """Index of a logit's probability."""
    return min(max(logit, -LOGIT_LIMIT), LOGIT_LIMIT) + LOGIT_LIMIT


def add_global(added, hidden, values, tokens, size, inputs, outputs):
    """What the global units add to the logits of one plane: at the places of the grid, then of the tokens."""
    times, height, width, origin = size
    line, step, position = width + 1, (width + 1) * (height + 1), 0
    for time in range(times):
        for row in range(height):
            start = time * step + row * line
            for place in range(start, start + width):
                added[place] = sum_global(hidden, outputs[position])
                see(hidden, inputs[position], int(values[origin + place]))
                position += 1
    for token in range(tokens.shape[0]):
        added[times * step + token] = sum_global(hidden, outputs[position])
        see(hidden, inputs[position], int(tokens[token]))
        position += 1


def sum_global(hidden, outputs):
    """What the global units add to the logit of one bit."""
    total = 0
    for unit in range(hidden.shape[0]):
        if hidden[unit] > 0:
            total += int(hidden[unit]) * int(outputs[unit])
    return total >> GLOBAL_SHIFT


def see(hidden, inputs, value):
    """Let the global units know the value of a bit, +1 or -1."""
    for unit in range(hidden.shape[0]):
        hidden[unit] += value * int(inputs[unit])


def sum_token(tokens, token, plane, weights, biases):
    """The logit of a class token's bit: a bias, and its own earlier bits."""
    logit, first = int(biases[plane]), plane * (plane - 1) // 2
    for other in range(plane):
        logit += int(tokens[other, token]) * int(weights[first + other])
    return logit >> TOKEN_SHIFT


def encode_bit(bit, probability, state, buffer):
    """Narrow the interval to a bit that is 1 with `probability` / 65536; False when the buffer is full.

    The interval is [low, low + range) of 40 bits. A 1 takes its lower part, a 0 the rest. When the range
    falls below 32 bits, the highest 8 bits of `low` go out; a carry runs back into them.
    """
    low, span, position = int(state[0]), int(state[1]), int(state[2])
    bound = (span >> PROBABILITY_BITS) * int(probability)
    if bit:
        span = bound
    else:
        low += bound
        span -= bound
        if low >> TOP_BITS:
            low -= 1 << TOP_BITS
            carry(buffer, position)
    while span < _RANGE_LEAST:
        if position == buffer.shape[0]:
            return False
        buffer[position] = low >> _DIGIT_SHIFT
        position += 1
        low = (low & _DIGIT_MASK) << 8
        span <<= 8
    state[0], state[1], state[2] = low, span, position
    return True


def carry(buffer, position):
    """Add one to the bytes before `position`. There always is one that is not 255."""
    position -= 1
    while buffer[position] == 255:
        buffer[position] = 0
        position -= 1
    buffer[position] += 1


def decode_bit(probability, state, payload):
    """The bit that `encode_bit` was given; behind its end, a payload goes on with zeros."""
    span, position, offset = int(state[1]), int(state[2]), int(state[3])
    bound = (span >> PROBABILITY_BITS) * probability
    if offset < bound:
        bit, span = 1, bound
    else:
        bit = 0
        offset -= bound
        span -= bound
    while span < _RANGE_LEAST:
        digit = int(payload[position]) if position < payload.shape[0] else 0
        position += 1
        offset = (offset << 8) | digit
        span <<= 8
    state[1], state[2], state[3] = span, position, offset
    return bit


def set_biases(sums, bias, times, height, width):
    """Set the sum of each position to its biases of time, height and width, those of each unit in a row."""
    line, step = width + 1, (width + 1) * (height + 1)
    for unit in range(sums.shape[0]):
        for time in range(times):
            for row in range(height):
                start = time * step + row * line
                base = bias[unit, time] + bias[unit, times + row]
                for column in range(width):
                    sums[unit, start + column] = base + bias[unit, times + height + column]


def add_products(sums, values, weights, shifts, origin, start, stop):
    """Add weight times neighbour, for each neighbour, to the sums of the places from `start` to `stop`."""
    for unit in range(sums.shape[0]):
        part = sums[unit, start:stop]
        for neighbour in range(shifts.shape[0]):
            weight = weights[neighbour, unit]
            if weight != 0:
                begin = origin + start + shifts[neighbour]
                seen = values[begin : begin + stop - start]
                for place in range(part.shape[0]):
                    part[place] += weight * seen[place]


def find_probabilities(sums, output, added, probabilities, chances):
    """The probability of each place, of the finished sums of its units and what the global units add."""
    for place in range(chances.shape[0]):
        logit = int(sums[0, place]) * int(output[0])
        for unit in range(1, sums.shape[0]):
            logit += max(int(sums[unit, place]), 0) * int(output[unit])
        chances[place] = probabilities[probability_index((logit >> OUTPUT_SHIFT) + added[place])]


def set_biases_at_once(sums, bias, times, height, width):
    """`set_biases` without a compiler."""
    of_time, of_row, of_column = np.split(bias, (times, times + height), axis=1)
    shaped = sums.reshape(-1, times, height + 1, width + 1)
    shaped[...] = 0
    shaped[:, :, :height, :width] = (
        of_time[:, :, None, None] + of_row[:, None, :, None] + of_column[:, None, None, :]
    )


def add_products_at_once(sums, values, weights, shifts, origin, start, stop):
    """`add_products` without a compiler."""
    for neighbour, shift in enumerate(shifts):
        begin = origin + start + int(shift)
        sums[:, start:stop] += weights[neighbour][:, None] * values[begin : begin + stop - start]


def find_probabilities_at_once(sums, output, added, probabilities, chances):
    """`find_probabilities` without a compiler."""
    activations = sums.astype(np.int64)
    np.maximum(activations[1:], 0, out=activations[1:])
    logits = ((output.astype(np.int64) @ activations) >> OUTPUT_SHIFT) + added[: chances.shape[0]]
    chances[...] = probabilities[np.clip(logits, -LOGIT_LIMIT, LOGIT_LIMIT) + LOGIT_LIMIT]


def sum_global_at_once(hidden, outputs):
    """`sum_global` without a compiler."""
    return int(np.maximum(hidden, 0) @ outputs) >> GLOBAL_SHIFT


def see_at_once(hidden, inputs, value):
    """`see` without a compiler."""
    hidden += value * inputs.astype(np.int64)


def make_probabilities() -> np.ndarray:
    """Index of a logit -> probability that the bit is 1, of 65536, between 1 and 65535.

    exp(-logit) by repeated multiplication with exp(-1/256), both as integers of 62 bits, so that the table is
    the same everywhere.
    """
    one, step = 1 << 62, 4593706758521714574  # floor(2^62 exp(-1/256))
    power, halves = one, []
    for _ in range(LOGIT_LIMIT + 1):
        halves.append(((power << PROBABILITY_BITS) + (one + power) // 2) // (one + power))
        power = (power * step) >> 62
    low = [max(1, each) for each in halves]
    high = [(1 << PROBABILITY_BITS) - each for each in low]
    return np.array(low[:0:-1] + high, np.int32)
