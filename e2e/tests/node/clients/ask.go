package main

import (
	"fmt"
	"net"
	"os"
	"time"
)

func main() {
	asked, err := net.Dial("udp", os.Args[1])
	if err != nil {
		panic(err)
	}
	asked.SetDeadline(time.Now().Add(4 * time.Second))
	asked.Write([]byte("hello"))
	answer := make([]byte, 16)
	n, err := asked.Read(answer)
	if err != nil {
		panic(err)
	}
	fmt.Print(string(answer[:n]))
}
