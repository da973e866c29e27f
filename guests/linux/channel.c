/* Passes messages to another VM from Linux's user space: end 0 of the protocol of
   guests/tests/src/bin/hyp_channel.rs. The channel's addresses are in the device tree; its registers
   and its memory are reached by /dev/mem, which needs no driver. Without a driver there is no
   interrupt either: the program looks until there is an answer.

       arm-linux-gnueabihf-gcc -O2 -static -o channel channel.c
       ./channel /proc/device-tree/channel@c000000 1000 */

#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

enum { MAGIC = 0x00, END = 0x08, SIZE = 0x10, RING = 0x18, RUNG = 0x1c };
enum { AREA = 0x800, WORDS = 16 };

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

/* `reg` is two ranges, each of an address and a size of 64 bits: registers and memory. */
static uint64_t reg(const char *node, int index)
{
    char path[256];
    unsigned char cells[32];
    uint64_t value = 0;
    snprintf(path, sizeof path, "%s/reg", node);
    int file = open(path, O_RDONLY);
    if (file < 0 || read(file, cells, sizeof cells) != sizeof cells)
        fail(path);
    close(file);
    for (int i = 0; i < 8; i++)
        value = value << 8 | cells[8 * index + i];
    return value;
}

static volatile uint32_t *map(int memory, uint64_t address, uint64_t size)
{
    void *at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, memory, (off_t)address);
    if (at == MAP_FAILED)
        fail("mmap");
    return at;
}

static uint32_t word(uint32_t n, uint32_t index)
{
    return (n * 0x9e3779b1u) ^ index;
}

int main(int argc, char **argv)
{
    if (argc != 3) {
        fprintf(stderr, "channel NODE MESSAGES\n");
        return 2;
    }
    uint32_t messages = strtoul(argv[2], NULL, 0), mistakes = 0;
    /* With O_SYNC the mapping is not cacheable. */
    int file = open("/dev/mem", O_RDWR | O_SYNC);
    if (file < 0)
        fail("/dev/mem");
    volatile uint32_t *registers = map(file, reg(argv[1], 0), reg(argv[1], 1));
    volatile uint32_t *shared = map(file, reg(argv[1], 2), reg(argv[1], 3));
    if (registers[MAGIC / 4] != 0x48434b53) {
        fprintf(stderr, "there is no channel\n");
        return 1;
    }
    uint32_t end = registers[END / 4], other = 1 - end;
    volatile uint32_t *out = shared + end * AREA / 4, *in = shared + other * AREA / 4;
    for (uint32_t n = 1; n <= messages + 1; n++) {
        uint32_t number = n <= messages ? n : UINT32_MAX;
        for (uint32_t i = 1; i < WORDS; i++)
            out[i] = word(number, i);
        __sync_synchronize();
        out[0] = number;
        __sync_synchronize();
        registers[RING / 4] = 1u << other;
        if (number == UINT32_MAX)
            break;
        while (in[0] == n - 1)
            ;
        __sync_synchronize();
        if (in[0] != n)
            mistakes++;
        for (uint32_t i = 1; i < WORDS; i++)
            mistakes += in[i] != word(n, i);
        registers[RUNG / 4] = 1u << other;
    }
    printf("end %u, %u bytes: %u messages, %u mistakes\n", end, registers[SIZE / 4], messages, mistakes);
    return mistakes != 0;
}
