package flame

import (
	"fmt"
	"hash/fnv"
	"path"
	"strings"

	"github.com/ragscope/ragscope/internal/stack"
)

// A palette is the hue of a kind of frame. Each has a few shades, chosen by the file that a
// frame is from, so that one library's frames look alike and differ from their neighbours'.
type palette struct {
	class, label string
	light, dark  [shades]string // fill in light and in dark surroundings
}

const shades = 3

// otherKinds is the class of frames of all runtimes that have no hue of their own.
const otherKinds = "other"

// The hues differ in lightness, too, and stay apart for colour-blind eyes.
var palettes = []palette{
	{kindEndpoint, "endpoint", [shades]string{"#cfd6df", "#cfd6df", "#cfd6df"}, [shades]string{"#46505e", "#46505e", "#46505e"}},
	{stack.Python, "Python", [shades]string{"#a9cbf2", "#9ac1ee", "#bad6f6"}, [shades]string{"#2f5f96", "#295587", "#376aa4"}},
	{stack.Native, "native", [shades]string{"#f6d08b", "#f3c577", "#f8daa2"}, [shades]string{"#8a5f17", "#7c5512", "#996b1f"}},
	{stack.Kernel, "kernel", [shades]string{"#eba6b4", "#e697a7", "#f0b7c3"}, [shades]string{"#8d3f54", "#7f374a", "#9b495f"}},
	{otherKinds, "other", [shades]string{"#b4dfb4", "#a6d7a6", "#c3e6c3"}, [shades]string{"#3d703d", "#356535", "#477c47"}},
}

// class is the style class of a frame, "python1".
func class(n *node) string {
	return fmt.Sprintf("%s%d", paletteOf(n.kind), shade(n))
}

func paletteOf(kind string) string {
	for _, p := range palettes {
		if p.class == kind {
			return p.class
		}
	}
	return otherKinds
}

// shade is the same for all files of one package, in every graph.
func shade(n *node) int {
	source := n.file
	if n.kind == stack.Python {
		source = pythonPackage(n.file)
	}
	h := fnv.New32a()
	h.Write([]byte(source))
	return int(h.Sum32() % shades)
}

// pythonPackage is what follows site-packages or lib/python3.x in a path, one name long; of
// other files their folder.
func pythonPackage(file string) string {
	for _, mark := range []string{"/site-packages/", "/dist-packages/"} {
		if _, rest, ok := strings.Cut(file, mark); ok {
			name, _, _ := strings.Cut(rest, "/")
			return name
		}
	}
	if _, rest, ok := strings.Cut(file, "/lib/python"); ok {
		_, rest, _ = strings.Cut(rest, "/")
		name, _, _ := strings.Cut(rest, "/")
		return name
	}
	return path.Dir(file)
}

// stylesheet is the fills of all classes.
func stylesheet() string {
	var light, dark strings.Builder
	for _, p := range palettes {
		for i := range shades {
			fmt.Fprintf(&light, ".%s%d{fill:%s}", p.class, i, p.light[i])
			fmt.Fprintf(&dark, ".%s%d{fill:%s}", p.class, i, p.dark[i])
		}
	}
	return light.String() + "\n@media screen and (prefers-color-scheme:dark){" + dark.String() + "}\n"
}
