package page

import "encoding/binary"

const (
	lanes     = 32       // N_SUMS
	prime     = 16777619 // FNV_PRIME
	rowBytes  = 4 * lanes
	rows      = Size / rowBytes
	together  = 8 // lanes that fit into registers
	finishing = 2 // rounds of zeroes at the end
)

// offsets is what the lanes start from (checksumBaseOffsets in checksum_impl.h).
var offsets = [lanes]uint32{
	0x5B1F36E9, 0xB8525960, 0x02AB50AA, 0x1DE66D2A, 0x79FF467A, 0x9BB9F8A3, 0x217E7CD2, 0x83E13D2C,
	0xF8D4474F, 0xE39EB970, 0x42C6AE16, 0x993216FA, 0x7B093B5D, 0x98DAFF3C, 0xF718902A, 0x0B1C9CDB,
	0xE58F764B, 0x187636BC, 0x5D7B3BB1, 0xE73DE7DE, 0x92BEC979, 0xCCA6C0B2, 0x304A0979, 0x85AA43D4,
	0x783125BB, 0x6CA8EAA2, 0xE407EAC6, 0x4B5CFC3E, 0x9FBF8C76, 0x15CA20BE, 0xF2CA9FD3, 0x959BD756,
}

// Checksum is what the page's checksum must be when it is block number block of its relation
// (pg_checksum_page in checksum_impl.h). The checksum that the page carries does not count.
func Checksum(page []byte, block uint32) uint16 {
	page = page[:Size]
	sums := firstRow(page)
	for lane := 0; lane < lanes; lane += together {
		mixRows((*[together]uint32)(sums[lane:]), page[rowBytes+4*lane:])
	}
	sum := uint32(0)
	for _, s := range sums {
		for range finishing {
			s = mix(s, 0)
		}
		sum ^= s
	}
	return uint16((sum^block)%65535 + 1)
}

func mix(sum, value uint32) uint32 {
	sum ^= value
	return sum*prime ^ sum>>17
}

// firstRow mixes in the row that holds the page header, with the checksum taken as zero.
func firstRow(page []byte) [lanes]uint32 {
	sums := offsets
	for lane := range sums {
		value := binary.LittleEndian.Uint32(page[4*lane:])
		if lane == checksumOffset/4 {
			value &= 0xFFFF0000
		}
		sums[lane] = mix(sums[lane], value)
	}
	return sums
}

// mixRows mixes eight neighbouring lanes of all other rows, which it holds in registers.
func mixRows(sums *[together]uint32, data []byte) {
	s0, s1, s2, s3, s4, s5, s6, s7 := sums[0], sums[1], sums[2], sums[3], sums[4], sums[5], sums[6], sums[7]
	for row := range rows - 1 {
		d := (*[4 * together]byte)(data[row*rowBytes:])
		s0 = mix(s0, binary.LittleEndian.Uint32(d[0:]))
		s1 = mix(s1, binary.LittleEndian.Uint32(d[4:]))
		s2 = mix(s2, binary.LittleEndian.Uint32(d[8:]))
		s3 = mix(s3, binary.LittleEndian.Uint32(d[12:]))
		s4 = mix(s4, binary.LittleEndian.Uint32(d[16:]))
		s5 = mix(s5, binary.LittleEndian.Uint32(d[20:]))
		s6 = mix(s6, binary.LittleEndian.Uint32(d[24:]))
		s7 = mix(s7, binary.LittleEndian.Uint32(d[28:]))
	}
	*sums = [together]uint32{s0, s1, s2, s3, s4, s5, s6, s7}
}
