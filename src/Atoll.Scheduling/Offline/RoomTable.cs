namespace Atoll.Scheduling.Offline;

/// <summary>
/// The best use of free cores (a, b) of a host's two NUMA nodes at given prices of room: blocks kept plus the price of each
/// machine let in. One table for all hosts, filled from small to large. Where it would be too large it counts in coarser units, what is
/// free rounded down and what is taken up.
/// </summary>
internal sealed class RoomTable
{
    private const long MostCells = 8_000_000;

    private readonly int _side, _unit, _block;
    private readonly VmShape[] _shapes;
    private readonly double[] _value;
    private readonly short[] _choice;

    /// <param name="most">Cores of the largest NUMA node.</param>
    /// <param name="unit">A divisor of all cores that occur.</param>
    public RoomTable(VmShape[] shapes, int most, int unit, int block)
    {
        int divisor = unit;
        while ((long)(most / unit + 1) * (most / unit + 1) * shapes.Length > MostCells)
            unit++;
        (_shapes, _unit, _block) = (shapes, unit, block);
        IsExact = unit == divisor;
        _side = most / unit + 1;
        _value = new double[_side * _side];
        _choice = new short[_side * _side];
    }

    /// <summary>False where the table counts in coarser units than cores come in.</summary>
    public bool IsExact { get; }

    /// <summary>Fills the table for prices of room by shape.</summary>
    public void Fill(double[] price)
    {
        for (int a = 0; a < _side; a++)
            for (int b = 0; b < _side; b++)
            {
                double best = a * _unit / _block + b * _unit / _block;
                short choice = -1;
                for (int s = 0; s < _shapes.Length; s++)
                {
                    if (price[s] <= 0)
                        continue;
                    int cores = (_shapes[s].Cores + _unit - 1) / _unit;
                    if (_shapes[s].TwoNuma)
                        Try(a - cores, b - cores, 2 * s, price[s]);
                    else
                    {
                        Try(a - cores, b, 2 * s, price[s]);
                        Try(a, b - cores, 2 * s + 1, price[s]);
                    }
                }
                _value[a * _side + b] = best;
                _choice[a * _side + b] = choice;

                void Try(int x, int y, int kind, double gain)
                {
                    if (x < 0 || y < 0)
                        return;
                    double value = _value[x * _side + y] + gain;
                    if (value > best + 1e-9)
                        (best, choice) = (value, (short)kind);
                }
            }
    }

    public double ValueOf(int a, int b) => _value[a / _unit * _side + b / _unit];

    /// <summary>The machines let in for that value, by place kind, ascending; what is left of a and b comes back in them.</summary>
    public byte[] InsOf(ref int a, ref int b)
    {
        var ins = new List<byte>();
        for (int kind; (kind = _choice[a / _unit * _side + b / _unit]) >= 0;)
        {
            ins.Add((byte)kind);
            VmShape shape = _shapes[kind >> 1];
            if (shape.TwoNuma || (kind & 1) == 0)
                a -= shape.Cores;
            if (shape.TwoNuma || (kind & 1) == 1)
                b -= shape.Cores;
        }
        ins.Sort();
        return [.. ins];
    }
}
