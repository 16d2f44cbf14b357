// The usual way: a Go agent that makes TAPs with vishvananda/netlink and limits them with four tc processes a guest.
//
//	usual -n 100 -shaping deferred -workers 1 -pace 0 -release 100
//
// Forks n guests, all at once or one after the other, then releases as many as asked for, and prints one JSON object.
// "inline" shapes before the fork returns; "deferred" after it, in the background. It runs in the namespace it is
// started in. Where a design leaves a choice, the faster one is taken.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

const (
	bridgeName = "br0"
	shaperName = "ifb-up"
	// IFLA_BRPORT_ISOLATED, which this version of the library does not know.
	portIsolated = 33
)

type guest struct {
	number   int
	tap      string
	ip       string
	usableMs float64
	shapedMs float64
}

// What the identity of a guest is taken from, under one mutex.
type agent struct {
	mutex  sync.Mutex
	next   int
	bridge netlink.Link
}

func tc(args string) {
	if out, err := exec.Command("tc", strings.Fields(args)...).CombinedOutput(); err != nil {
		log.Fatalf("tc %s: %v: %s", args, err, out)
	}
}

func must(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

func open() *agent {
	bridge := &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: bridgeName}}
	must(netlink.LinkAdd(bridge))
	must(netlink.LinkSetUp(bridge))
	shaper := &netlink.Ifb{LinkAttrs: netlink.LinkAttrs{Name: shaperName}}
	must(netlink.LinkAdd(shaper))
	must(netlink.LinkSetUp(shaper))
	tc("qdisc add dev " + shaperName + " root handle 1: htb default 2")
	tc("class add dev " + shaperName + " parent 1: classid 1:1 htb rate 10gbit")
	return &agent{bridge: bridge}
}

func (a *agent) reserve() *guest {
	a.mutex.Lock()
	defer a.mutex.Unlock()
	n := a.next
	a.next++
	return &guest{number: n, tap: fmt.Sprintf("tap%06x", n), ip: fmt.Sprintf("10.100.%d.%d", (n+2)/250, (n+2)%250+1)}
}

func (a *agent) makeTap(g *guest) {
	tap := &netlink.Tuntap{
		LinkAttrs: netlink.LinkAttrs{Name: g.tap},
		Mode:      netlink.TUNTAP_MODE_TAP,
		Flags:     netlink.TUNTAP_ONE_QUEUE | netlink.TUNTAP_VNET_HDR,
	}
	must(netlink.LinkAdd(tap))
	must(netlink.LinkSetMaster(tap, a.bridge))
	isolate(tap.Attrs().Index)
	must(netlink.LinkSetUp(tap))
}

func isolate(ifindex int) {
	request := nl.NewNetlinkRequest(unix.RTM_SETLINK, unix.NLM_F_ACK)
	message := nl.NewIfInfomsg(unix.AF_BRIDGE)
	message.Index = int32(ifindex)
	request.AddData(message)
	port := nl.NewRtAttr(unix.IFLA_PROTINFO|unix.NLA_F_NESTED, nil)
	port.AddRtAttr(portIsolated, []byte{1})
	request.AddData(port)
	_, err := request.Execute(unix.NETLINK_ROUTE, 0)
	must(err)
}

// The four processes: download limit, upload class, its queue, and the filter that finds it.
func shape(g *guest) {
	minor := g.number + 0x10
	tc(fmt.Sprintf("qdisc add dev %s root tbf rate 100mbit burst 200kb latency 50ms", g.tap))
	tc(fmt.Sprintf("class add dev %s parent 1:1 classid 1:%x htb rate 20mbit ceil 80mbit", shaperName, minor))
	tc(fmt.Sprintf("qdisc add dev %s parent 1:%x handle %x: bfifo limit 500kb", shaperName, minor, minor))
	tc(fmt.Sprintf("filter add dev %s parent 1: protocol ip prio 1 handle ::%x u32 match ip src %s flowid 1:%x",
		shaperName, g.number+1, g.ip, minor))
}

func release(g *guest) {
	minor := g.number + 0x10
	link, err := netlink.LinkByName(g.tap)
	must(err)
	must(netlink.LinkDel(link))
	tc(fmt.Sprintf("filter del dev %s parent 1: protocol ip prio 1 handle 800::%x u32", shaperName, g.number+1))
	tc(fmt.Sprintf("class del dev %s classid 1:%x", shaperName, minor))
}

func main() {
	n := flag.Int("n", 1, "guests")
	shaping := flag.String("shaping", "deferred", "inline or deferred")
	workers := flag.Int("workers", 0, "deferred shaping: how many at once, 0 for all")
	oneByOne := flag.Bool("one", false, "fork one after the other, each when the last is shaped")
	releases := flag.Int("release", 0, "how many to release afterwards, all at once")
	pace := flag.Bool("gate", false, "wait for a line on stdin before the releases")
	flag.Parse()

	a := open()
	guests := make([]*guest, *n)
	var usable, shaped sync.WaitGroup
	usable.Add(*n)
	shaped.Add(*n)
	slots := make(chan struct{}, max(*workers, 1))
	start := time.Now()
	fork := func(i int) {
		begun := start
		if *oneByOne {
			begun = time.Now()
		}
		since := func() float64 { return float64(time.Since(begun).Nanoseconds()) / 1e6 }
		g := a.reserve()
		guests[i] = g
		a.makeTap(g)
		if *shaping == "inline" {
			shape(g)
			g.usableMs, g.shapedMs = since(), since()
			usable.Done()
			shaped.Done()
			return
		}
		g.usableMs = since()
		usable.Done()
		later := func() {
			if *workers > 0 {
				slots <- struct{}{}
				defer func() { <-slots }()
			}
			shape(g)
			g.shapedMs = since()
			shaped.Done()
		}
		if *oneByOne {
			later()
		} else {
			go later()
		}
	}
	for i := 0; i < *n; i++ {
		if *oneByOne {
			fork(i)
		} else {
			go fork(i)
		}
	}
	usable.Wait()
	shaped.Wait()

	if *pace {
		fmt.Println("ready")
		fmt.Scanln()
	}
	var gone sync.WaitGroup
	begun := time.Now()
	releaseMs := make([]float64, *releases)
	for i := 0; i < *releases; i++ {
		gone.Add(1)
		go func(i int) {
			release(guests[i])
			releaseMs[i] = float64(time.Since(begun).Nanoseconds()) / 1e6
			gone.Done()
		}(i)
	}
	gone.Wait()

	result := map[string][]float64{"usableMs": {}, "shapedMs": {}, "releaseMs": releaseMs}
	for _, g := range guests {
		result["usableMs"] = append(result["usableMs"], g.usableMs)
		result["shapedMs"] = append(result["shapedMs"], g.shapedMs)
	}
	must(json.NewEncoder(os.Stdout).Encode(result))
}

func max(a, b int) int {
	if a > b {
		return a
	}
	return b
}
