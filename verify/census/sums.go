package census

import (
	"fmt"
	"math/big"
)

// joinSums makes a fingerprint of two decimal sums of signed 64-bit hashes: each modulo 2^64, as 16 hexadecimal
// digits.
func joinSums(first, second string) (string, error) {
	high, err := wrap(first)
	if err != nil {
		return "", err
	}
	low, err := wrap(second)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%016x%016x", high, low), nil
}

func wrap(sum string) (uint64, error) {
	n, ok := new(big.Int).SetString(sum, 10)
	if !ok {
		return 0, fmt.Errorf("sum of hashes %q is not a whole number", sum)
	}
	modulus := new(big.Int).Lsh(big.NewInt(1), 64)
	return n.Mod(n, modulus).Uint64(), nil // Mod is Euclidean: never negative
}
