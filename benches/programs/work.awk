# Fields, sums and an associative array.
{
    for (i = 1; i <= NF; i++) {
        count[$i]++
        size += length($i)
    }
    if ($0 ~ /er.*on/)
        hits += NR % 10
}
END {
    for (word in count)
        words++
    print words, size, hits
}
