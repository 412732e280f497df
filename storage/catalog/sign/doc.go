// Package sign signs documents in minisign's format (https://jedisct1.github.io/minisign/), so that
// "minisign -V -p KEY.pub -m DOCUMENT" checks them without Lifeboat.
//
// A signature binds a document to a trusted comment, for which the catalog takes the document's key: a genuine document
// under another key does not pass.
package sign
