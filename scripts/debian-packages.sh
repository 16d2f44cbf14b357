# To be sourced. Debian's packages as files in build/guest/packages, fetched with apt-get when they are not there yet;
# nothing is installed. What they are unpacked for is left to guest-image.sh and kernel-vm.sh.

packages=$PWD/build/guest/packages
mkdir -p "$packages"

# Prints the file of package $1, and downloads it unless it is here.
package_file() {
  compgen -G "$packages/$1_*.deb" && return
  # apt's own user may not write here.
  (cd "$packages" && apt-get download -qq -o APT::Sandbox::User=root "$1" >&2) || return
  compgen -G "$packages/$1_*.deb"
}

# Prints the name of the package with Debian's cloud kernel of series $1 ("6.1"): the one that is here, or else the
# one that the meta package $2 names. The dot after the series keeps 6.12 apart from 6.1.
kernel_package() {
  local here
  here=$(cd "$packages" && compgen -G "linux-image-$1.*-cloud-amd64_*.deb" | sed 's/_.*//' | sort -V | tail -n 1)
  if [ -n "$here" ]; then
    echo "$here"
  else
    apt-cache depends "$2" 2>/dev/null | sed -n "s/^ *Depends: \(linux-image-$1\..*\)/\1/p" | grep .
  fi
}
