// Package seal keeps the contents of objects secret. A sealed object is an age file (age-encryption.org/v1), so that the
// age tool opens it without Lifeboat: whoever writes needs public recipients only, and whoever reads needs an identity.
//
// Two things go beyond a stream that is sealed and opened: a noted file carries a public note in its header (see
// [Noted]), and a [Source] reads ranges of the plain bytes without fetching the whole object.
//
// age vouches for integrity, not for origin: everybody who knows the recipients can make a file that opens. That a sealed
// object is the one that was stored is shown by checksums and signatures in the documents that name it.
package seal
