#!/bin/sh
# Run by `meson install`: installs the sample as the configuration. If there is already a different one, it is kept, and
# the sample is installed beside it as timesliced.conf.new.
set -eu
folder=$MESON_INSTALL_DESTDIR_PREFIX/$1
case $1 in /*) folder=${DESTDIR:-}$1 ;; esac
sample=$MESON_SOURCE_ROOT/config/timesliced.conf
target=$folder/timesliced.conf
mkdir -p "$folder"
if [ -e "$target" ] && ! cmp -s "$sample" "$target"; then
    echo "keeping $target; the new sample is $target.new"
    target=$target.new
fi
install -m 644 "$sample" "$target"
