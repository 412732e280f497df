// Package faultproxy stands between an HTTP client and its server on loopback and makes trouble by a script, so that
// tests can see what a storage driver does about it: answers that are late, lost, cut, slow, wrong or never come, and
// an endpoint that is gone for a while.
//
// Requests are passed on as they came, the Host header included, so that their signatures hold.
package faultproxy
