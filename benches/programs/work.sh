# Arithmetic, strings and branches of the shell itself.
i=0 sum=0
while [ $i -lt "$1" ]; do
    case $i in
    *7) sum=$((sum + i % 13)) ;;
    *) word=a${i#1}b sum=$((sum + ${#word})) ;;
    esac
    i=$((i + 1))
done
echo $sum
