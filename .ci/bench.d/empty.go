// Command empty does nothing: how long it takes is the least that any hook can take.
package main

func main() {}
