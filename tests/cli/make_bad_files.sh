#!/bin/bash
# make_bad_files.sh DIR: hostile files that are quicker made than stored.
set -eu
cd "$1"
big='\x4e\x20\x4e\x20' # 20,000 by 20,000
# Headers alone: a reader that took memory for the pixels before it checked would ask for 400 MB.
printf '\xff\xd8\xff\xc0\0\x0b\x08%b\x01\x01\x11\0\xff\xda\0\x08\x01\x01\0\0\x3f\0\xff\xd9' "$big" >huge.jpg
printf '\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\x4e\x20\0\0\x4e\x20\x08\0\0\0\0\xc6\x1b\x19\xe5' >huge.png
# A legal progressive JPEG of 8 x 8 pixels whose one scan, the lowest bit of the mean, is repeated: no Huffman table is needed.
head='\xff\xd8\xff\xdb\0\x43\0%b\xff\xc2\0\x0b\x08\0\x08\0\x08\x01\x01\x11\0'
scan='\xff\xda\0\x08\x01\x01\0\0\0\x10\0'
# shellcheck disable=SC2059 # formats with bytes
{
    printf "$head" "$(printf '\\x01%.0s' {1..64})"
    printf "$scan%.0s" {1..80000}
    printf '\xff\xd9'
} >scans.jpg
# A tensor that the network has, with another shape.
tensors='{"conv1.weight":{"dtype":"F32","shape":[2,1,1,1],"data_offsets":[0,8]}}'
# shellcheck disable=SC2059
printf "$(printf '\\x%02x' ${#tensors})\0\0\0\0\0\0\0%s\0\0\0\0\0\0\0\0" "$tensors" >shape.safetensors
