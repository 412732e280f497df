package s3

import (
	"crypto/md5"
	"encoding/base64"
	"encoding/binary"
	"hash/crc64"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// nvme is the polynomial of CRC-64/NVME, bits reversed. S3 keeps this checksum of whole objects, whatever parts they came
// in.
const nvme = 0x9a6c9329ac4bc9b5

func addToSum(sum uint64, p []byte) uint64 { return crc64.Update(sum, crc64.MakeTable(nvme), p) }

func checksum(p []byte) uint64 { return addToSum(0, p) }

func encodeSum(sum uint64) *string {
	return aws.String(base64.StdEncoding.EncodeToString(binary.BigEndian.AppendUint64(nil, sum)))
}

// contentMD5 is the checksum of old, for stores that know no other. It guards against accidents only.
func contentMD5(p []byte) *string {
	sum := md5.Sum(p)
	return aws.String(base64.StdEncoding.EncodeToString(sum[:]))
}
