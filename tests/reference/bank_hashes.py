"""Bank of accumulator (k, y, x), written out for each hash; the address is row-major in k, y, x."""


def bank_of(bank_hash, num_banks, address, k, y, x, output_row, output_column):
    if bank_hash == "linear":
        return address % num_banks
    if bank_hash == "prime":
        return (11 * k + 5 * y + x) % num_banks
    if bank_hash == "xor":
        folded = 0
        for digit in range(3):  # the three lowest digits in base num_banks
            folded ^= address // num_banks**digit % num_banks
        return folded
    assert bank_hash == "dnnsim"
    # DNNsim's SCNN.cpp: bits 3 and 2 are the parities of row and column, bits 1 and 0 those of k, bit 4 mixes the next
    bit_4 = (k // 4 + output_row // 2 + output_column // 2) % 2
    return 16 * bit_4 + 8 * (output_row % 2) + 4 * (output_column % 2) + k % 4
